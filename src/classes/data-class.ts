import { registerEnumType } from '@nestjs/graphql';

export const DataClass = { TRANSACTION: 'TRANSACTION', MASTER: 'MASTER', CONFIG: 'CONFIG', SYSTEM: 'SYSTEM' } as const;
export type DataClass = keyof typeof DataClass;
registerEnumType(DataClass, {
  name: 'DataClass',
  valuesMap: {
    TRANSACTION: { description: 'What the business does: orders, invoices, payments, movements of stock, logs of activity.' },
    MASTER: { description: 'What it deals with: customers, suppliers, products.' },
    CONFIG: { description: 'How the workspace is set up: organisation, users, roles, branches, taxes.' },
    SYSTEM: { description: 'What the product needs for itself: counters, migrations, sessions.' },
  },
});

/** What a reset writes to a field of each document of a collection of counters. */
export interface CounterRule {
  readonly field: string;
  readonly resetTo: number;
}

export interface ClassRule {
  /** A collection's name; `*` stands for any characters, case does not count. */
  readonly pattern: string;
  readonly dataClass: DataClass;
  /** Whether a reset wipes it: customers are master data, and yet are wiped. */
  readonly resettable: boolean;
  /** Set where a reset lets the counters of the collection start anew instead of leaving it as it is. */
  readonly counter?: CounterRule | null | undefined;
}

/** The rule that decided, and whose it is; null: nobody's, the collection is undecided. */
export interface ClassDecision extends ClassRule {
  readonly from: 'TENANT' | 'PROVIDER';
}

export interface RuleLists {
  readonly tenant: readonly ClassRule[];
  readonly provider: readonly ClassRule[];
}

/** The first rule that fits decides; the tenant's come before the provider's. */
export function decide(name: string, { tenant, provider }: RuleLists): ClassDecision | null {
  const own = tenant.find(({ pattern }) => fits(pattern, name));
  if (own !== undefined) return { ...own, from: 'TENANT' };
  const general = provider.find(({ pattern }) => fits(pattern, name));
  return general === undefined ? null : { ...general, from: 'PROVIDER' };
}

/** Takes each part of the pattern at its earliest place, so that no pattern makes it slow. */
function fits(pattern: string, name: string): boolean {
  const [first = '', ...parts] = pattern.toLowerCase().split('*');
  const text = name.toLowerCase();
  const last = parts.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let from = first.length;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return text.length - last.length >= from && text.endsWith(last);
}
