// The PACS is back: the button brings the import to its end at once.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

desk(async ({ page, screen, sees }) => {
  await page.goto(`${stage.base}/imports/${stage.id}`);
  await page.getByRole("button", { name: "Try again now" }).click();
  await sees("Done: everything is delivered.");
  check(await page.getByRole("button", { name: "Try again now" }).count() === 0, "nothing is left to try");
  await screen("23-delivered-after-all");
  // Erased with a tick in the box, and still in the list.
  await page.locator("summary").filter({ hasText: "Erase" }).click();
  await screen("24-erase");
  return {};
});
