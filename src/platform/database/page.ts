import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** The place of a row in a list that is sorted by time, newest first, then by id. Times have milliseconds: columns are `timestamptz(3)`. */
export interface Keyset {
  readonly at: Date;
  readonly id: string;
}

export interface Page {
  readonly limit: number;
  readonly after: Keyset | null;
}

export interface PageOfRows<Row> {
  /** Up to `limit + 1`: the one past the page tells that there is a next one. */
  readonly rows: readonly Row[];
  readonly totalCount: number;
}

/**
 * Reads one page of `query`, newest first, without offsets.
 *
 * @param timeProperty property of the query's main entity to sort by, `createdAt` for example
 */
export async function findPage<Row extends ObjectLiteral>(query: SelectQueryBuilder<Row>, timeProperty: string, page: Page): Promise<PageOfRows<Row>> {
  const time = `${query.alias}.${timeProperty}`;
  const id = `${query.alias}.id`;
  const totalCount = await query.getCount();
  if (page.after !== null) query.andWhere(`(${time}, ${id}) < (:pageAt, :pageId)`, { pageAt: page.after.at, pageId: page.after.id });
  const rows = await query
    .orderBy(time, 'DESC')
    .addOrderBy(id, 'DESC')
    .limit(page.limit + 1)
    .getMany();
  return { rows, totalCount };
}
