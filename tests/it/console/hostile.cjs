// Names, files and questions with markup and direction marks are shown as text.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

const MARKUP = "<script>alert(1)</script>";

desk(async ({ page, screen, sees, id }) => {
  const clean = async (where) => {
    const found = await page.evaluate(() => ({
      scripts: [...document.querySelectorAll("script")].map((script) => script.src),
      strange: document.querySelectorAll("main img, main svg, main script, [onclick], [onerror], [onload]").length,
    }));
    check(found.scripts.length === 1 && found.scripts[0].endsWith("/assets/live.js"), `${where}: foreign script`);
    check(found.strange === 0, `${where}: foreign markup became elements`);
  };

  // The question of the portal.
  await page.getByLabel("Link or scanned QR code").fill(stage.hostileLink);
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("heading", { name: "The portal asks" }).waitFor();
  await sees(MARKUP);
  await clean("question");
  await screen("10-hostile-question");
  await page.locator("summary").filter({ hasText: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel this import" }).click();
  await sees(/[Cc]ancelled/);
  await screen("11-cancelled");

  // The upload, with a name of its own.
  await page.goto(stage.base);
  const { readFileSync } = require("node:fs");
  await page.getByLabel(/^ZIP archive/).setInputFiles({
    name: `${MARKUP}\u202e.zip`, mimeType: "application/zip", buffer: readFileSync(stage.file),
  });
  await page.getByRole("button", { name: "Upload" }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]+$/);
  const number = id();
  await sees("needs a decision");
  await clean("decision");
  check((await page.locator("main").innerText()).includes(MARKUP), "the name is shown as it is");
  await page.getByText(/files set aside/).last().click();
  await sees("<img src=x onerror=alert(3)>.xyz");
  await clean("set aside");
  await screen("12-hostile-decision");

  await page.goto(stage.base);
  await page.locator("#list").getByText(MARKUP).waitFor();
  await clean("list");
  await screen("13-hostile-list");
  // The search field gives back what was typed.
  await page.getByLabel("Name, number, source or ID").fill(`"><script>alert(9)</script>`);
  await page.getByRole("button", { name: "Show" }).click();
  await sees("0 imports");
  await clean("search");

  await page.goto(`${stage.base}/imports/${number}`);
  await page.getByText("File it without an order").click();
  const form = page.locator("form").filter({ has: page.getByRole("button", { name: "Compare before filing" }) });
  await form.getByLabel("Local patient ID").fill("4711");
  await form.getByLabel("Name, as Family^Given").fill("Muster^Erika");
  await form.getByLabel("Birth date").fill("1964-08-12");
  await form.getByLabel("Sex").selectOption("F");
  await form.getByLabel("Reason").fill(MARKUP);
  await screen("14-no-order");
  await form.getByRole("button", { name: "Compare before filing" }).click();
  // Nothing is filed before the patient was seen once more beside the study.
  await sees("Is this the patient?");
  await clean("look");
  await screen("14-second-look");
  await page.getByRole("button", { name: "Yes, file it under this patient" }).click();
  await sees("Done: everything is delivered.");
  await page.getByText(/main attributes change/).click();
  await clean("delivered");
  await screen("15-hostile-delivered");
  return { id: number };
});
