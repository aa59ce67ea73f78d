/** The committed OpenAPI document is that of the routes. `npx vitest run test/daemon/openapi.test.ts -u` writes it anew. */
import { expect, test } from 'vitest';
import type { Control } from '../../src/control/control.js';
import { SILENT } from '../../src/control/log.js';
import { createApp, documentOf, ROUTES } from '../../src/daemon/app.js';

const document = documentOf(createApp({} as Control, SILENT)) as {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>;
};

test('docs/openapi.json', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../docs/openapi.json');
});

test('every route is in it, with its errors', () => {
  const described = Object.values(document.paths).flatMap((path) => Object.values(path));
  expect(described.map(({ operationId }) => operationId).sort()).toEqual(
    Object.values(ROUTES)
      .map((route) => route.operationId)
      .sort(),
  );
  for (const { operationId, responses } of described) {
    expect(Object.keys(responses), operationId).toEqual(expect.arrayContaining(['400', '404', '409', '500']));
  }
});
