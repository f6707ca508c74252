// Login, link, question, decision between candidates, delivered; no reload by hand in between.
"use strict";
const { desk, stage, check } = require("./desk.cjs");

const steps = async ({ page, context, expected, screen, sees, loads, id, logIn }) => {
  // A wrong token first.
  await page.goto(stage.base);
  await screen("01-login");
  expected.refusals = true;
  await page.getByLabel("Token of this gateway").fill("0".repeat(64));
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await screen("02-wrong-token");
  expected.refusals = false;
  await logIn();
  const cookie = (await context.cookies()).find((one) => one.name === "lotse-session");
  check(cookie.httpOnly && cookie.sameSite === "Strict", "the session cookie is out of reach of scripts");
  await screen("03-start-empty");

  await page.getByLabel("Link or scanned QR code").fill(stage.link);
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.waitForURL(/\/imports\/[0-9a-f-]+$/);
  const number = id();
  await page.getByRole("heading", { name: "The portal asks" }).waitFor();
  const before = loads();
  await screen("04-question");
  await page.getByLabel(/birth date|Geburtstag/).fill(stage.birthDate);
  await page.getByRole("button", { name: "Answer" }).click();

  // The page is loaded once by the form; everything after it comes by itself.
  await page.getByRole("heading", { name: "Fremdaufnahmen CT Thorax einlesen" }).waitFor();
  check(loads() <= before + 1, "the page follows without a reload");
  await sees("needs a decision");
  await screen("05-decision");

  const candidate = page.getByRole("article").filter({ hasText: stage.accession });
  const cell = (row, column) => candidate.getByRole("row", { name: new RegExp(`^${row}`) }).getByRole("cell").nth(column);
  check((await cell("Name", 0).innerText()).includes("MUSTERFRAU-GRÜN, ERIKA"), "the foreign name");
  check((await cell("Name", 1).innerText()).includes("Musterfrau-Gruen, Erika"), "the local name beside it");
  check((await cell("Patient ID", 0).innerText()).includes("RP-0815-4711"), "the foreign ID");
  check((await cell("Patient ID", 1).innerText()).includes("100234567"), "the local ID beside it");
  await candidate.getByLabel("Reason").fill("Name und Geburtsdatum verglichen");
  await candidate.getByRole("button", { name: "File under this order" }).click();

  await sees("Done: everything is delivered.");
  await page.getByRole("row", { name: /pacs/ }).getByText("delivered").waitFor();
  await screen("06-delivered");

  await page.goto(stage.base);
  await page.getByRole("link", { name: "done", exact: true }).waitFor();
  await screen("07-list");
  await page.getByLabel("Name, number, source or ID").fill("musterfrau erika");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/q=musterfrau/);
  await page.getByRole("link", { name: "done", exact: true }).waitFor();

  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(/\/login$/);
  await page.goto(`${stage.base}/imports/${number}`);
  check(new URL(page.url()).pathname === "/login", "after the logout nothing is shown");
  return { id: number };
};
steps.logsIn = true;
desk(steps);
