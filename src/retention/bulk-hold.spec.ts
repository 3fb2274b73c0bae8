import { describe, expect, it } from '@jest/globals';
import type { StoredBackup } from '../backups/stored-backup.js';
import { decideHold, type Findings, findingsOf, mostAtOnce, type RunRecord } from './bulk-hold.js';
import type { RetentionReason, Verdict } from './judgement.js';

const hour = 3_600_000;
const start = Date.UTC(2024, 0, 1);
const at = (hours: number): Date => new Date(start + hours * hour);
const record = (over: Partial<RunRecord> = {}): RunRecord => ({ ranAt: at(-1), dueSeen: 0, heldSince: null, heldDue: null, confirmedAt: null, ...over });
const held = (over: Partial<RunRecord> = {}): RunRecord => record({ heldSince: at(0), heldDue: 40, ...over });
const found = (due: number, mortal: number, taken = 0): Findings => ({ due, mortal, taken });
const free = { heldSince: null, heldDue: null };

describe('many backups that become due at once', () => {
  it('are more than three and more than a fifth of what is stored', () => {
    expect([1, 15, 20, 100].map((mortal) => mostAtOnce(found(0, mortal)))).toEqual([3, 3, 4, 20]);
    expect(decideHold(record(), found(3, 10), at(0))).toEqual(free);
    expect(decideHold(record(), found(4, 10), at(0))).toEqual({ heldSince: at(0), heldDue: 4 });
  });

  it('are more than each new one pushes out', () => {
    expect(decideHold(record(), found(8, 20, 4), at(0))).toEqual(free);
    expect(decideHold(record(), found(9, 20, 4), at(0))).toEqual({ heldSince: at(0), heldDue: 9 });
  });

  it('are counted of those alone that a rule may let go', () => {
    const backup: StoredBackup = {
      id: 'a', trigger: 'SCHEDULE', scope: 'ALL', scheduleId: null, label: 'daily', createdAt: at(-2), at: at(-2), sizeBytes: 1, isWhole: true, isDamaged: false, isRegistered: false, pinned: false, held: false, expiresAt: null,
    };
    const backups = [backup, { ...backup, id: 'b', at: at(0) }, { ...backup, id: 'c' }];
    const verdict = (due: boolean, reason: RetentionReason): Verdict => ({ due, reason, text: '', until: null });
    const verdicts = new Map([['a', verdict(true, 'AGE')], ['b', verdict(false, 'AGE')], ['c', verdict(false, 'PINNED')]]);
    expect(findingsOf({ backups, verdicts }, record())).toEqual(found(1, 2, 1));
    expect(findingsOf({ backups, verdicts }, record({ ranAt: null }))).toEqual(found(1, 2, 0));
  });

  it('are compared with what was due at the end of the last run', () => {
    expect(decideHold(record({ dueSeen: 40 }), found(43, 50), at(0))).toEqual(free);
    expect(decideHold(record({ dueSeen: 30 }), found(43, 50), at(0))).toEqual({ heldSince: at(0), heldDue: 43 });
  });

  it('stay until three days are over, until somebody confirms it, or until they are not due any more', () => {
    expect(decideHold(held(), found(40, 50), at(71))).toEqual({ heldSince: at(0), heldDue: 40 });
    expect(decideHold(held(), found(40, 50), at(72))).toEqual(free);
    expect(decideHold(held({ confirmedAt: at(1) }), found(40, 50), at(2))).toEqual(free);
    expect(decideHold(held({ confirmedAt: at(-1) }), found(40, 50), at(2))).toEqual({ heldSince: at(0), heldDue: 40 });
    expect(decideHold(held(), found(2, 50), at(2))).toEqual(free);
  });

  it('are held anew when many more come to them, confirmed or not', () => {
    expect(decideHold(held({ confirmedAt: at(1) }), found(60, 70), at(72))).toEqual({ heldSince: at(72), heldDue: 60 });
    expect(decideHold(held(), found(42, 50), at(72))).toEqual(free);
  });
});
