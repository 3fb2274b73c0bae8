import { describe, expect, it } from '@jest/globals';
import type { Notice } from './notice.js';
import { NoticeStream } from './notice-stream.js';

const notice = (id: string, revision: number): Notice => ({ topic: 'operation', id, tenantId: 't', revision });

describe('NoticeStream', () => {
  it('gives a slow reader the newest notice of each row alone', async () => {
    const stream = new NoticeStream(() => undefined);
    stream.push(notice('a', 1));
    stream.push(notice('b', 7));
    stream.push(notice('a', 3));
    stream.push(notice('a', 2));
    expect(await stream.next()).toEqual({ done: false, value: { kind: 'changed', ...notice('a', 3) } });
    expect(await stream.next()).toEqual({ done: false, value: { kind: 'changed', ...notice('b', 7) } });
  });

  it('asks a reader that is far behind to read everything again instead of growing', async () => {
    const stream = new NoticeStream(() => undefined);
    for (let row = 0; row < 10_000; row++) stream.push(notice(`row-${row}`, 1));
    expect(await stream.next()).toEqual({ done: false, value: { kind: 'resync' } });
    stream.push(notice('late', 2));
    expect(await stream.next()).toMatchObject({ value: { id: 'late' } });
  });

  it('wakes a waiting reader for a notice and for the end', async () => {
    let ended = 0;
    const stream = new NoticeStream(() => ended++);
    const first = stream.next();
    stream.push(notice('a', 1));
    expect(await first).toMatchObject({ done: false });
    const last = stream.next();
    await stream.return();
    await stream.return();
    expect(await last).toEqual({ done: true, value: undefined });
    expect(ended).toBe(1);
  });
});
