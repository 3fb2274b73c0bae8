import type { DataSource, Logger } from 'typeorm';

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** What `work` sends to PostgreSQL through the data source, but for the beginnings and ends of transactions. Nothing else may use it meanwhile. */
export async function statementsOf(dataSource: DataSource, work: () => Promise<unknown>): Promise<Statement[]> {
  const statements: Statement[] = [];
  const ignore = (): void => undefined;
  const before = dataSource.logger;
  const recorder: Logger = {
    logQuery: (sql, parameters) => {
      if (/^\s*(select|with|insert|update|delete)\b/i.test(sql)) statements.push({ sql, parameters: Array.isArray(parameters) ? parameters : [] });
    },
    logQueryError: ignore, logQuerySlow: ignore, logSchemaBuild: ignore, logMigration: ignore, log: ignore,
  };
  dataSource.logger = recorder;
  try {
    await work();
  } finally {
    dataSource.logger = before;
  }
  return statements;
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Nodes of the plan that PostgreSQL makes for the statement where an index is of any use, however small the tables are; nothing is run. */
export async function planOf(dataSource: DataSource, { sql, parameters }: Statement): Promise<PlanNode[]> {
  const [row] = await dataSource.transaction(async (manager) => {
    await manager.query('set local enable_seqscan = off');
    return manager.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }[]>(`explain (format json) ${sql}`, [...parameters]);
  });
  const nodes = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodes)];
  return (row?.['QUERY PLAN'] ?? []).flatMap(({ Plan }) => nodes(Plan));
}

/** Tables that the statement would read from end to end. */
export async function tablesReadWhole(dataSource: DataSource, statement: Statement): Promise<string[]> {
  const plan = await planOf(dataSource, statement);
  return plan.flatMap((node) => (node['Node Type'] === 'Seq Scan' && node['Relation Name'] !== undefined ? [node['Relation Name']] : []));
}
