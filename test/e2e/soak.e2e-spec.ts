import { describe, expect, it } from '@jest/globals';
import { describeFailure, soak } from '../soak/soak.ts';

const seed = Number(process.env['SOAK_SEED'] ?? 4);

describe('a soak', () => {
  it('finds after each of 300 random steps what its model says', async () => {
    const report = await soak({ seed, steps: 300 });
    expect(describeFailure(report)).toBe('');
    expect(report.steps).toBe(300);
  }, 600_000);
});
