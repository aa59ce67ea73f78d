/** show BRIDGE flows: as they come, page by page, so that any number of them needs the memory of a page. */
import type { FlowInfo } from '../control/model.js';
import { flowLine } from './flow-text.js';
import { print } from './output.js';
import { type PortNames, renamed } from './port-names.js';

/** @param names of ports, in lines */
export async function printFlows(pages: AsyncIterable<FlowInfo[]>, json: boolean, names: PortNames): Promise<void> {
  if (json) return printArray(pages);
  for await (const page of pages) {
    if (page.length > 0) await print(`${renamed(page, names).map(flowLine).join('\n')}\n`);
  }
}

/** One array, an element a line. */
async function printArray(pages: AsyncIterable<FlowInfo[]>): Promise<void> {
  let separator = '[';
  for await (const page of pages) {
    let text = '';
    for (const flow of page) {
      text += `${separator}\n${JSON.stringify(flow)}`;
      separator = ',';
    }
    if (text !== '') await print(text);
  }
  await print(separator === '[' ? '[]\n' : '\n]\n');
}
