/**
 * Takes pictures of the app, as a phone and as a desktop, light and dark.
 *
 *     node demos/web/drive/pictures.mjs SITE FOLDER [TEXT ...]
 *
 * For each bundle of the site, one picture before a question and one after it with a word tapped; TEXTs are
 * asked of translators in the same order, as long as there are any, and otherwise the bundle's own samples.
 */
import path from 'node:path';

import {DESKTOP, launch, PIXEL, ready, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, folder, ...texts] = process.argv.slice(2);

async function picture(page, name) {
  await page.screenshot({path: path.join(folder, `${name}.png`)});
  return name;
}

async function answered(page) {
  await page.waitForFunction(() => document.getElementById('figures') && !document.querySelector('.busy'));
}

async function pictures(server, device, colorScheme, label) {
  const {page, close} = await launch({device, colorScheme});
  const taken = [];
  try {
    await page.goto(server.address);
    await ready(page);
    const names = await page.$$eval('#bundle option', (options) => options.map((option) => option.value));
    for (const [i, name] of names.entries()) {
      await page.selectOption('#bundle', name);
      await ready(page);
      taken.push(await picture(page, `${label}-${name}-ready`));
      const text = texts[i] || (await page.innerText('.samples button'));
      await page.fill('#text', text);
      await page.click('#go');
      await answered(page);
      const words = page.locator('.word');
      if (await words.count()) await words.nth(Math.min(2, (await words.count()) - 1)).click();
      taken.push(await picture(page, `${label}-${name}`));
      await page.click('#details-button');
      taken.push(await picture(page, `${label}-${name}-details`));
      await page.click('dialog button:has-text("Close")');
    }
    return taken;
  } finally {
    await close();
  }
}

await report(async () => {
  const server = await serve(path.resolve(site));
  try {
    const taken = [];
    for (const [device, name] of [[PIXEL, 'phone'], [DESKTOP, 'desktop']]) {
      for (const scheme of ['light', 'dark']) taken.push(...(await pictures(server, device, scheme, `${name}-${scheme}`)));
    }
    return taken;
  } finally {
    await server.close();
  }
});
