import { Logger } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import { FaultPoints } from './fault-points.js';

Logger.overrideLogger(false);

describe('FaultPoints', () => {
  it('do nothing at a place that is not named', async () => {
    await expect(new FaultPoints(['backup.dump=error']).reach('backup.finalize')).resolves.toBeUndefined();
  });

  it('fail at the place that the configuration names', async () => {
    await expect(new FaultPoints(['backup.dump=error']).reach('backup.dump')).rejects.toThrow('Fault point backup.dump');
  });

  it('call what a test hung there, until it is taken off', async () => {
    const points = new FaultPoints([]);
    let reached = 0;
    const takeOff = points.on('swap.step', () => Promise.resolve(void reached++));
    await points.reach('swap.step');
    takeOff();
    await points.reach('swap.step');
    expect(reached).toBe(1);
  });

  it('can be meant for one operation alone', async () => {
    const points = new FaultPoints(['swap.step@one=error']);
    await expect(points.reach('swap.step', 'two')).resolves.toBeUndefined();
    await expect(points.reach('swap.step', 'one')).rejects.toThrow('Fault point swap.step@one');
  });

  it('go on after a pause when the process is continued', async () => {
    const paused = new FaultPoints(['swap.step=pause']).reach('swap.step');
    process.emit('SIGCONT', 'SIGCONT');
    await expect(paused).resolves.toBeUndefined();
  });

  it('refuse what they do not understand', () => {
    expect(() => new FaultPoints(['backup.dump=explode'])).toThrow('HOLDFAST_FAULT_POINTS: backup.dump=explode is not <name>=kill|hang|pause|error');
  });
});
