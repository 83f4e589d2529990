/** Chromium as a phone or a desktop, with what it asked for and what went wrong written down. */
import {existsSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import {chromium} from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--js-flags=--expose-gc'];
export const PIXEL = {
  viewport: {width: 412, height: 915},
  deviceScaleFactor: 2.625,
  isMobile: true,
  hasTouch: true,
  userAgent: 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36',
};
export const DESKTOP = {viewport: {width: 1280, height: 800}};

/** @returns {string} the browser's path: that of CHROMIUM in the environment, or where distributions put it */
export function findChromium() {
  const found = [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
  if (!found) throw new Error('Chromium was not found; set CHROMIUM to its path.');
  return found;
}

/**
 * Opens a browser with a profile of its own.
 * @param {object} [options]
 * @param {object} [options.device] PIXEL or DESKTOP
 * @param {'light' | 'dark'} [options.colorScheme]
 */
export async function launch({device = PIXEL, colorScheme = 'light', ...more} = {}) {
  const profile = await mkdtemp(path.join(os.tmpdir(), 'keras-attn-web-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium(), headless: true, args: FLAGS, colorScheme, ...device, ...more,
  });
  const requests = [], errors = [];
  context.on('request', (request) => requests.push(request.url()));
  const page = context.pages()[0] ?? (await context.newPage());
  page.on('pageerror', (error) => errors.push(String(error)));
  return {
    context,
    page,
    requests,
    errors,
    /** Slows the page's own thread down. Chromium does not slow workers; a limit on its processes does. */
    throttle: async (rate) => {
      const session = await context.newCDPSession(page);
      await session.send('Emulation.setCPUThrottlingRate', {rate});
    },
    close: async () => {
      await context.close();
      await rm(profile, {recursive: true, force: true});
    },
  };
}

/** Waits until a bundle is open, or says what the page says instead. */
export async function ready(page, timeout = 60_000) {
  await page.waitForFunction(
    () => ['ready', 'wrong'].includes(document.getElementById('state').dataset.state) &&
      document.getElementById('loading').hidden, null, {timeout});
  const state = await page.getAttribute('#state', 'data-state');
  if (state !== 'ready') throw new Error(`The page is not ready: ${await page.innerText('#notice')}`);
}

/** @returns {Promise<number[]>} bytes of JavaScript's memory in the page and in its worker, garbage collected */
export async function heaps(page) {
  const session = await page.context().newCDPSession(page);
  const answers = new Map();
  let asked = 0;
  session.on('Target.receivedMessageFromTarget', ({message}) => {
    const {id, result} = JSON.parse(message);
    answers.get(id)?.(result);
  });
  const attached = new Promise((resolve) => session.once('Target.attachedToTarget', resolve));
  await session.send('Target.setAutoAttach', {autoAttach: true, waitForDebuggerOnStart: false, flatten: false});
  const {sessionId} = await attached;
  const ask = (method) => new Promise((resolve) => {
    answers.set(++asked, resolve);
    session.send('Target.sendMessageToTarget', {sessionId, message: JSON.stringify({id: asked, method})});
  });
  await Promise.all([page, ...page.workers()].map((each) => each.evaluate(() => self.gc())));
  const [inPage, inWorker] = [await session.send('Runtime.getHeapUsage'), await ask('Runtime.getHeapUsage')];
  await session.detach();
  return [inPage.usedSize, inWorker.usedSize];
}

/** Runs a script's work and prints its result as one JSON line; an error is one too, with exit code 1. */
export async function report(work) {
  try {
    console.log(JSON.stringify(await work()));
  } catch (error) {
    console.log(JSON.stringify({error: error.stack ?? String(error)}));
    process.exitCode = 1;
  }
}
