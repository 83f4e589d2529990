/**
 * Repeats the proofs of bundles in the browser, and prints a verdict for each, as a line of JSON.
 *
 *     node demos/web/drive/verify.mjs SITE [BUNDLE...]
 *
 * SITE is a folder that `keras-attn web` wrote; without names its first bundle is taken. Exit code: 0 the proofs
 * hold, 1 one does not, or could not be run.
 */
import path from 'node:path';

import {ask, openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, ...names] = process.argv.slice(2);

async function verdict({page, context}, name) {
  try {
    await openBundle(page, name);
    const {result, ms} = await ask(page, 'verify');
    return {...result, seconds: ms / 1000, browser: context.browser()?.version() ?? ''};
  } catch (error) {
    return {ok: false, runtime: '@litertjs/core', rungs: [{name: 'open', ok: false, detail: error.message, figures: {}}]};
  }
}

const server = await serve(path.resolve(site));
const browser = await launch();
try {
  await browser.page.goto(`${server.address}icon.svg`);
  for (const name of names.length ? names : [undefined]) {
    await report(async () => {
      const found = await verdict(browser, name);
      if (!found.ok) process.exitCode = 1;
      return found;
    });
  }
} finally {
  await browser.close();
  await server.close();
}
