/**
 * Repeats a bundle's proof in the browser, and prints the verdict as one JSON object.
 *
 *     node demos/web/drive/verify.mjs SITE [BUNDLE]
 *
 * SITE is a folder that `keras-attn web` wrote. Exit code: 0 the proof holds, 1 it does not, or could not be run.
 */
import path from 'node:path';

import {ask, openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site, name] = process.argv.slice(2);

await report(async () => {
  const server = await serve(path.resolve(site));
  const browser = await launch();
  try {
    await browser.page.goto(`${server.address}icon.svg`);
    await openBundle(browser.page, name);
    const {result, ms} = await ask(browser.page, 'verify');
    if (!result.ok) process.exitCode = 1;
    return {...result, seconds: ms / 1000, browser: browser.context.browser()?.version() ?? ''};
  } catch (error) {
    process.exitCode = 1;
    return {ok: false, runtime: '@litertjs/core', rungs: [{name: 'open', ok: false, detail: error.message, figures: {}}]};
  } finally {
    await browser.close();
    await server.close();
  }
});
