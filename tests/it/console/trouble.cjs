// A wrong answer is told beside the question; a PACS that refuses is told, and the import can be tried again.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

desk(async ({ page, screen, sees, id, expected }) => {
  // What is no link is refused with a way back.
  expected.refusals = true;
  await page.getByLabel("Link or scanned QR code").fill("not a link");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("alert").waitFor();
  await screen("20-no-link");
  expected.refusals = false;

  await page.goto(stage.base);
  await page.getByLabel("Link or scanned QR code").fill(stage.link);
  await page.getByLabel(/^Accession number/).first().fill(stage.accession);
  await page.getByLabel(/^Local patient ID/).first().fill(stage.patientId);
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("heading", { name: "The portal asks" }).waitFor();
  const question = page.getByLabel(/birth date|Geburtstag/);
  await question.fill("1999-12-31");
  await page.getByRole("button", { name: "Answer" }).click();
  await sees(/did not accept|not the right|wrong|again/i, "#summary");
  await page.getByRole("heading", { name: "The portal asks" }).waitFor();
  await screen("21-wrong-answer");
  await question.fill(stage.birthDate);
  await page.getByRole("button", { name: "Answer" }).click();

  await sees(/tried again by itself/);
  await page.getByRole("button", { name: "Try again now" }).waitFor();
  await screen("22-pacs-refuses");
  return { id: id() };
});
