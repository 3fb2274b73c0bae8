import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.stop());

it('serves the schema that schema.gql shows (npm run schema writes it)', () => {
  const { schema } = app.nest.get(GraphQLSchemaHost);
  expect(`${printSchema(lexicographicSortSchema(schema))}\n`).toBe(readFileSync(new URL('../../schema.gql', import.meta.url), 'utf8'));
});
