/**
 * Translates texts in the browser: reads a list of `{bundle, beam, texts, languages}` from standard input, and
 * prints for each `{outputs: [{ids, text, score}], ms, memory}`, with the runtime's memory after each hundred texts.
 *
 *     node demos/web/drive/translate.mjs SITE < jobs.json
 */
import path from 'node:path';
import {json} from 'node:stream/consumers';

import {ask, openBundle} from './asking.mjs';
import {launch, report} from './browser.mjs';
import {serve} from './server.mjs';

const [site] = process.argv.slice(2);
const jobs = await json(process.stdin);

async function work(page, {bundle, beam, texts, languages}) {
  await openBundle(page, bundle);
  const outputs = [], memory = [];
  let ms = 0;
  for (const [i, one] of texts.entries()) {
    const answer = await ask(page, 'translate', {text: one, beam, languages});
    const {ids, text, score} = answer.result;
    outputs.push({ids, text, score});
    ms += answer.ms;
    if (i % 100 === 99) memory.push(answer.memory);
  }
  return {outputs, ms, memory};
}

await report(async () => {
  const server = await serve(path.resolve(site));
  const browser = await launch();
  try {
    await browser.page.goto(`${server.address}icon.svg`);
    const found = [];
    for (const job of jobs) found.push(await work(browser.page, job));
    return found;
  } finally {
    await browser.close();
    await server.close();
  }
});
