import 'reflect-metadata';
import { writeFile } from 'node:fs/promises';
import type { DynamicModule, ForwardReference, Provider, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLSchemaBuilderModule, GraphQLSchemaFactory } from '@nestjs/graphql';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { AppModule } from './app.module.js';
import { AppConfig } from './config/app-config.js';
import { ByteCount, Count, DateTimeScalar } from './platform/graphql/scalars.js';

type ModuleImport = Type | DynamicModule | Promise<DynamicModule> | ForwardReference;

/** The classes with `@Resolver()` below a module, without starting anything. */
async function resolversBelow(entry: ModuleImport, seen: Set<unknown>): Promise<Type[]> {
  const module = await entry;
  if (seen.has(module) || 'forwardRef' in module) return [];
  seen.add(module);
  const dynamic = 'module' in module ? module : null;
  const type: Type = dynamic === null ? (module as Type) : dynamic.module;
  const listed = <T>(name: 'imports' | 'providers'): T[] => [...((Reflect.getMetadata(name, type) ?? []) as T[]), ...((dynamic?.[name] ?? []) as T[])];
  const own = listed<Provider>('providers').filter((provider): provider is Type => typeof provider === 'function' && Reflect.hasMetadata('graphql:resolver_type', provider));
  const below = await Promise.all(listed<ModuleImport>('imports').map((one) => resolversBelow(one, seen)));
  return [...new Set([...own, ...below.flat()])];
}

/** `npm run schema`: writes schema.gql without a database. */
async function main(): Promise<void> {
  const config = AppConfig.from({ DATABASE_URL: 'postgresql://localhost/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32).toString('base64') });
  const resolvers = await resolversBelow(AppModule.forRoot(config), new Set());
  const builder = await NestFactory.createApplicationContext(GraphQLSchemaBuilderModule, { logger: false });
  const schema = await builder.get(GraphQLSchemaFactory).create(resolvers, [DateTimeScalar, ByteCount, Count]);
  await writeFile('schema.gql', `${printSchema(lexicographicSortSchema(schema))}\n`);
  await builder.close();
}

await main();
