import type { ClassRule, DataClass } from './data-class.js';

const rules = (dataClass: DataClass, resettable: boolean, ...patterns: string[]): ClassRule[] => patterns.map((pattern) => ({ pattern, dataClass, resettable }));

/**
 * What collections of business products usually hold, until the provider says otherwise. The order counts: a log of what users do is a log, not a user.
 * Whoever is in doubt leaves a name out: what is undecided is never wiped.
 */
export const defaultProfile: readonly ClassRule[] = [
  ...rules('SYSTEM', false, 'system.*', '*migration*', '*counter*', '*sequence*', '*session*', '*_lock', '*_locks'),
  ...rules('TRANSACTION', true, '*log', '*logs', 'activit*', 'report*', 'analytic*'),
  ...rules('CONFIG', false, 'organization*', 'organisation*', 'compan*', '*setting*', 'config*', 'user*', 'role*', 'permission*', 'member*', 'branch*', 'location*', 'currenc*', 'tax*'),
  ...rules('TRANSACTION', true, '*order*', 'sale*', 'purchase*', '*invoice*', 'bill*', '*receipt*', '*payment*', '*adjustment*', 'inventor*', 'stock*', '*movement*', '*transaction*', 'journal*', 'ledger*', 'expense*', 'quote*', 'quotation*', 'shipment*', 'deliver*'),
  ...rules('MASTER', true, 'customer*', 'supplier*', 'vendor*', 'product*', 'item*', 'categor*', 'price*', 'contact*'),
];
