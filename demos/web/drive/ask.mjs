/**
 * Asks bundles of a site in the app's worker, without its page: reads `[{bundle, call, asked}]` from standard input,
 * where `asked` is a list of arguments, and prints `[{results, ms}]`, of each the list of answers or `{error}`.
 *
 *     node demos/web/drive/ask.mjs SITE < jobs.json
 */
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {ask, openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site] = process.argv.slice(2);
const jobs = await json(process.stdin);

await report(async () => {
  const server = await serve(path.resolve(site));
  const {page, close} = await launch();
  try {
    await page.goto(`${server.address}icon.svg`);
    const found = [];
    for (const {bundle, call, asked} of jobs) {
      await openBundle(page, bundle);
      const results = [];
      let ms = 0;
      for (const given of asked) {
        try {
          const answer = await ask(page, call, given);
          results.push(answer.result);
          ms += answer.ms;
        } catch (error) {
          results.push({error: error.message});
        }
      }
      found.push({results, ms});
    }
    return found;
  } finally {
    await close();
    await server.close();
  }
});
