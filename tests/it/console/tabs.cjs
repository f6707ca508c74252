// Many tabs of one import: only the one that is looked at holds a connection, and each is up to date when seen again.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

// A headless browser shows every page at once, so pages are told that they are hidden or shown.
const turn = (tab, hidden) => tab.evaluate((value) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
  document.dispatchEvent(new Event("visibilitychange"));
}, hidden);

desk(async ({ page, context, id, sees }) => {
  await page.getByLabel("Link or scanned QR code").fill(stage.link);
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("heading", { name: "The portal asks" }).waitFor();
  const address = page.url();
  await turn(page, true);
  // One more than a browser has connections to a host.
  for (let number = 0; number < 7; number += 1) {
    const tab = await context.newPage();
    await tab.goto(address);
    await tab.getByRole("heading", { name: "The portal asks" }).waitFor();
    await turn(tab, true);
  }
  const last = await context.newPage();
  await last.goto(address);
  await last.getByLabel(/birth date|Geburtstag/).fill(stage.birthDate);
  await last.getByRole("button", { name: "Answer" }).click();
  await last.getByText("needs a decision").first().waitFor();
  await turn(last, true);

  check(await page.getByRole("heading", { name: "The portal asks" }).isVisible(), "a hidden page asks for nothing");
  await turn(page, false);
  await sees("needs a decision");

  // A part that somebody works in stays; when they leave it, it is brought up to date.
  const reject = page.locator("details.other", { hasText: "Reject it" });
  await reject.locator("summary").click();
  const reason = reject.getByLabel("Reason");
  await reason.focus();
  const other = last.locator("details.other", { hasText: "Reject it" });
  await other.locator("summary").click();
  await other.getByLabel("Reason").fill("another patient");
  await other.getByRole("button", { name: "Reject, do not send" }).click();
  await sees("Done: everything was turned away", "#summary");
  check(await reason.isVisible(), "nobody takes the form away");
  await reason.blur();
  await reason.waitFor({ state: "detached" });
  return { id: id() };
});
