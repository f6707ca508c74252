// A browser at the import desk. Every script runs its steps through `desk`, which logs in once and fails on
// whatever a page must never do: open a dialog, throw, breach the content security policy, fail to load.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");

const stage = JSON.parse(fs.readFileSync(0, "utf8"));
const PATIENCE = 20000;

const check = (fits, what) => { if (!fits) throw new Error(what); };

async function desk(steps) {
  const browser = await chromium.launch({
    executablePath: stage.chromium,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const wrong = [];
  const expected = { refusals: false };
  try {
    const state = fs.existsSync(stage.profile) ? stage.profile : undefined;
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "de-DE", storageState: state });
    context.setDefaultTimeout(PATIENCE);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy breached: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    const page = await context.newPage();
    page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("pageerror", (error) => wrong.push(`script error: ${error}`));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !expected.refusals) wrong.push(`${message.type()}: ${message.text()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400 && !expected.refusals) wrong.push(`${response.status()} ${response.url()}`);
    });
    let loads = 0;
    page.on("load", () => { loads += 1; });
    const tools = {
      page, context, expected, stage, check,
      loads: () => loads,
      // Waits for a text without any reload by hand.
      sees: (text, within = "main") => page.locator(within).getByText(text).first().waitFor(),
      // At both widths; at the narrow one nothing may stick out.
      async screen(name) {
        for (const width of [1280, 390]) {
          await page.setViewportSize({ width, height: 900 });
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          await page.screenshot({ path: path.join(stage.screens, `${name}-${width}.png`), fullPage: true });
          const thin = await page.evaluate(() => [...document.querySelectorAll("main td, main th, main caption, main p")]
            .filter((part) => part.innerText.trim().length > 8 && part.clientWidth > 0 && part.clientWidth < 40).length);
          check(thin === 0, `${name}: ${thin} texts are squeezed at ${width}`);
          check(wide <= width, `${name}: the page is ${wide} wide at ${width}`);
        }
        await page.setViewportSize({ width: 1280, height: 900 });
      },
      id: () => new URL(page.url()).pathname.split("/").pop(),
      logIn: () => logIn(page, context),
    };
    if (state) await page.goto(stage.base); else if (!steps.logsIn) await logIn(page, context);
    const result = await steps(tools);
    check(wrong.length === 0, wrong.join("\n"));
    process.stdout.write(`${JSON.stringify(result ?? {})}\n`);
  } catch (error) {
    const page = browser.contexts()[0]?.pages()[0];
    if (page) {
      await page.screenshot({ path: path.join(stage.screens, "failed.png"), fullPage: true }).catch(() => {});
      process.stderr.write(`at ${page.url()}\n${await page.locator("body").innerText().catch(() => "")}\n`);
    }
    process.stderr.write(`${error.stack}\n${wrong.join("\n")}\n`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

async function logIn(page, context) {
  await page.goto(stage.base);
  check(new URL(page.url()).pathname === "/login", "nothing is shown without a login");
  await page.getByLabel("Token of this gateway").fill(stage.token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Import from a link" }).waitFor();
  await context.storageState({ path: stage.profile });
}

module.exports = { desk, stage, check };
