// The desk asks an archive for a study: without a number it is told what to give, with one the study comes and
// waits for its decision like any other.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

desk(async ({ page, expected, screen, sees, id }) => {
  const form = page.getByRole("region", { name: "Fetch from an archive" });
  const archive = form.getByLabel("Archive", { exact: true });
  const names = await archive.locator("option").allInnerTexts();
  check(names.join("|") === "choose…|modality|archive (DICOMweb)", names.join("|"));
  await screen("20-archive");

  // Nothing goes out before an archive is chosen.
  await form.getByLabel("Its patient ID").fill(stage.foreign);
  await form.getByRole("button", { name: "Fetch" }).click();
  check(await archive.evaluate((box) => !box.validity.valid), "an archive has to be chosen");

  await archive.selectOption("archive (DICOMweb)");
  await form.getByLabel("Its patient ID").fill("");
  expected.refusals = true;
  await form.getByRole("button", { name: "Fetch" }).click();
  await sees(/give its accession number/);
  await screen("21-archive-without-number");
  await page.goBack();
  expected.refusals = false;

  await archive.selectOption("archive (DICOMweb)");
  await form.getByLabel("Its patient ID").fill("NOBODY-1");
  await form.getByRole("button", { name: "Fetch" }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]+$/);
  await sees(/has no study for this request/);
  await screen("22-archive-has-none");

  await page.goto(stage.base);
  await archive.selectOption("archive (DICOMweb)");
  await form.getByLabel("Its patient ID").fill(stage.foreign);
  await form.getByRole("button", { name: "Fetch" }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]+$/);
  await sees("needs a decision");
  await screen("23-archive-came");
  return { id: id() };
});
