/**
 * Uses the app as a person would, on a phone, and prints what happened as one JSON object.
 *
 *     node demos/web/drive/journey.mjs SITE [RATE [TIMES]] < visits.json
 *
 * `visits.json` is a list of `{bundle, text, beam}`; the first is asked of the page as it opens, the others after
 * switching to their bundle. Then the server goes away, the page is loaded again, and the last is asked once
 * more. RATE slows the page's processor down; before the server goes, the last visit is repeated TIMES times, and
 * `heaps` is what page and worker hold after each tenth of them.
 */
import {readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {heaps, launch, ready, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, rate = '1', times = '0'] = process.argv.slice(2);
const visits = await json(process.stdin);

/** Writes down every text that the output shows while it is busy. */
function watchOutput() {
  self.streamed = [];
  new MutationObserver(() => {
    const output = document.getElementById('output');
    const text = output?.textContent;
    if (output?.getAttribute('aria-busy') === 'true' && text && text !== self.streamed.at(-1)) self.streamed.push(text);
  }).observe(document, {subtree: true, childList: true, characterData: true});
}

async function visit(page, {text, beam}) {
  await page.evaluate(() => { self.streamed = []; });
  if (await page.isVisible('#beam-choice')) await page.setChecked('#beam', Boolean(beam));
  await page.tap('#text');
  await page.fill('#text', '');
  await page.locator('#text').pressSequentially(text.slice(0, 3));
  await page.fill('#text', text);
  const began = Date.now();
  await page.tap('#go');
  await page.locator('.card[data-ids] #figures').waitFor();
  const seen = {
    ms: Date.now() - began,
    ids: (await page.getAttribute('.card', 'data-ids')).split(' ').filter(Boolean).map(Number),
    text: await page.innerText('#output'),
    streamed: await page.evaluate(() => self.streamed),
    announced: await page.textContent('#announcer'),
    figures: await page.innerText('#figures'),
  };
  const words = page.locator('.word');
  if (await words.count()) {
    await words.first().tap();
    seen.pressed = await page.locator('.word[aria-pressed=true]').count();
    seen.weights = await page.$$eval('.mark', (marks) => marks.map((mark) => Number(mark.style.getPropertyValue('--weight'))));
    seen.hint = await page.innerText('.hint');
    seen.source = await page.innerText('.source');
    if ((await words.count()) > 1) {
      await words.first().focus();
      await page.keyboard.press((await page.evaluate(() => getComputedStyle(document.getElementById('output')).direction)) === 'rtl'
        ? 'ArrowLeft' : 'ArrowRight');
      seen.moved = await page.evaluate(() => document.activeElement === document.querySelectorAll('.word')[1]);
    }
  }
  return seen;
}

/** Asks the same again and again, with the button; the card is a new one each time. */
async function repeat(page, count) {
  const held = [];
  for (let i = 0; i < count; i++) {
    await page.evaluate(() => {
      self.streamed = [];
      document.querySelector('.card').remove();
    });
    await page.tap('#go');
    await page.locator('.card[data-ids] #figures').waitFor();
    if ((i + 1) % Math.ceil(count / 10) === 0) held.push(await heaps(page));
  }
  return held;
}

async function shellBytes() {
  const names = (await readdir(site)).filter((name) => name !== 'bundles' && name !== 'wasm');
  const sizes = await Promise.all(names.map((name) => stat(path.join(site, name))));
  return sizes.reduce((sum, {size}) => sum + size, 0);
}

await report(async () => {
  const server = await serve(path.resolve(site));
  const {page, requests, errors, throttle, close} = await launch();
  try {
    await page.addInitScript(watchOutput);
    await throttle(Number(rate));
    const began = Date.now();
    await page.goto(server.address);
    await ready(page);
    const readyMs = Date.now() - began;
    const seen = [await visit(page, visits[0])];
    const firstMs = readyMs + seen[0].ms;
    for (const one of visits.slice(1)) {
      await page.selectOption('#bundle', one.bundle);
      await ready(page);
      seen.push(await visit(page, one));
    }
    const held = await repeat(page, Number(times));
    await page.waitForFunction(() => document.getElementById('state-text').textContent.includes('works offline'));
    await server.close();
    await page.reload();
    await ready(page);
    const offline = await visit(page, visits.at(-1));
    return {
      readyMs,
      firstMs,
      visits: seen,
      offline,
      heaps: held,
      foreign: requests.filter((url) => !url.startsWith(server.address) && !url.startsWith('data:')),
      shellBytes: await shellBytes(),
      errors,
    };
  } finally {
    await close();
    await server.close().catch(() => {});
  }
});
