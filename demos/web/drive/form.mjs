/**
 * Fills in the form of models of arrays as a person would, on a phone, and prints what the page then shows.
 *
 *     node demos/web/drive/form.mjs SITE [FOLDER [SCHEME]] < visits.json
 *
 * `visits.json` is a list of `{bundle, inputs}`, by the inputs' names: a number or a text is written, a list of
 * truths ticks boxes, `{picture, scale}` chooses a file; what is not named stays as the page filled it in.
 * Printed for each: `outputs`, all values as the page saves them; `bars`, names and shares by output; `notice`,
 * where the page says that something does not fit, and which input is `focused` then; `announced`. `unlabelled` are
 * controls without a name for screen readers. Pictures go to FOLDER.
 */
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {launch, ready, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, folder, colorScheme = 'light'] = process.argv.slice(2);
const visits = await json(process.stdin);

async function write(page, name, value) {
  const row = page.locator('.row').filter({has: page.locator('.caption b', {hasText: new RegExp(`^${name}$`)})});
  if (Array.isArray(value)) {
    for (const [i, ticked] of value.entries()) await row.locator('input').nth(i).setChecked(ticked);
  } else if (value.picture) {
    await row.locator('input[type=file]').setInputFiles(value.picture);
    await page.locator('canvas[aria-label="The chosen picture"]').waitFor();
    if (value.scale) await row.locator(`input[value="${value.scale}"]`).check();
  } else {
    await row.locator('input, textarea').fill(String(value));
  }
}

async function seen(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.tap('#save')]);
  return {
    outputs: JSON.parse(await readFile(await download.path(), 'utf8')),
    bars: Object.fromEntries(await page.$$eval('.output-card:has(.bars)', (cards) => cards.map((card) => [
      card.dataset.output, Array.from(card.querySelectorAll('.bars li'), (item) =>
        ['.name', '.share'].map((part) => item.querySelector(part).textContent))]))),
    tables: Object.fromEntries(await page.$$eval('.output-card:has(table)', (cards) => cards.map((card) => [
      card.dataset.output, Array.from(card.querySelectorAll('tbody tr'), (row) =>
        Array.from(row.querySelectorAll('td'), (cell) => cell.textContent))]))),
    announced: await page.textContent('#announcer'),
  };
}

async function picture(page, name) {
  if (folder) await page.screenshot({path: path.join(folder, `${name}.png`)});
}

async function visit(page, {bundle, inputs}, number) {
  await page.selectOption('#bundle', bundle);
  await ready(page);
  await picture(page, `${number}-${bundle}-form`);
  for (const [name, value] of Object.entries(inputs)) await write(page, name, value);
  await page.tap('#go');
  await page.locator('#figures, #notice:not([hidden])').first().waitFor();
  await picture(page, `${number}-${bundle}-answer`);
  if (await page.isHidden('#notice')) return seen(page);
  const notice = await page.innerText('#notice-text');
  await page.tap('#notice-action');
  return {notice, focused: await page.evaluate(() => document.activeElement.labels?.[0]?.querySelector('b')?.textContent ?? '')};
}

await report(async () => {
  const server = await serve(path.resolve(site));
  const {page, errors, close} = await launch({colorScheme});
  try {
    await page.goto(server.address);
    await ready(page);
    const found = [];
    for (const [number, one] of visits.entries()) found.push(await visit(page, one, number));
    const unlabelled = await page.$$eval('input, textarea, select', (controls) => controls
      .filter((control) => !control.hidden && !control.labels?.length && !control.ariaLabel).map((control) => control.outerHTML));
    return {visits: found, errors, unlabelled};
  } finally {
    await close();
    await server.close();
  }
});
