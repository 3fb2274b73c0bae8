import type { Type } from '@nestjs/common';
import { ArgsType, Field, Int, ObjectType } from '@nestjs/graphql';
import { IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';
import { AppError } from '#errors';
import type { Keyset, Page, PageOfRows } from '../database/page.js';

export const defaultPageSize = 20;
const maxPageSize = 100;

@ObjectType()
export class PageInfo {
  @Field(() => Boolean)
  hasNextPage!: boolean;

  @Field(() => String, { nullable: true })
  endCursor!: string | null;
}

@ArgsType()
export class PageArgs {
  @Field(() => Int, { nullable: true, description: 'How many, 1 to 100; 20 where it is left out.' })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(maxPageSize)
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'The cursor after which to go on.' })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  after?: string | null;
}

export interface Edge<Model> {
  cursor: string;
  node: Model;
}

export interface Connection<Model> {
  edges: Edge<Model>[];
  pageInfo: PageInfo;
  totalCount: number;
}

/**
 * Makes `<Name>Connection` and `<Name>Edge` of a model whose GraphQL name is `name`:
 * `@ObjectType() class BackupConnection extends Paginated('Backup', () => BackupModel) {}`
 */
export function Paginated<Model>(name: string, model: () => Type<Model>): Type<Connection<Model>> {
  @ObjectType(`${name}Edge`)
  class ModelEdge implements Edge<Model> {
    @Field(() => String)
    cursor!: string;

    @Field(model)
    node!: Model;
  }

  @ObjectType({ isAbstract: true })
  class ModelConnection implements Connection<Model> {
    @Field(() => [ModelEdge])
    edges!: Edge<Model>[];

    @Field(() => PageInfo)
    pageInfo!: PageInfo;

    @Field(() => Int)
    totalCount!: number;
  }
  return ModelConnection;
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function encodeCursor(key: Keyset): string {
  return Buffer.from(`${key.at.toISOString()}|${key.id}`).toString('base64url');
}

/** @throws AppError BAD_USER_INPUT */
function decodeCursor(cursor: string): Keyset {
  const [at = '', id = '', ...rest] = Buffer.from(cursor, 'base64url').toString('utf8').split('|');
  const date = new Date(at);
  if (rest.length > 0 || !uuidPattern.test(id) || Number.isNaN(date.getTime()) || date.toISOString() !== at) {
    throw new AppError('BAD_USER_INPUT', 'after: not a cursor of this list');
  }
  return { at: date, id };
}

export function pageOf(args: PageArgs): Page {
  return { limit: args.first ?? defaultPageSize, after: args.after == null ? null : decodeCursor(args.after) };
}

export function toConnection<Row, Model>(page: Page, found: PageOfRows<Row>, keyOf: (row: Row) => Keyset, toModel: (row: Row) => Model): Connection<Model> {
  const edges = found.rows.slice(0, page.limit).map((row) => ({ cursor: encodeCursor(keyOf(row)), node: toModel(row) }));
  return {
    edges,
    pageInfo: { hasNextPage: found.rows.length > page.limit, endCursor: edges.at(-1)?.cursor ?? null },
    totalCount: found.totalCount,
  };
}
