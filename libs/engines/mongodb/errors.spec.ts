import { describe, expect, it } from '@jest/globals';
import { MongoServerError } from 'mongodb';
import { isLost, toTargetError } from './errors.js';

describe('an error of the driver', () => {
  it.each(['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED'])('that a socket made (%s) tells of a lost connection', (code) => {
    const error = Object.assign(new Error('This socket has been ended by the other party'), { code });
    expect(isLost(error)).toBe(true);
    expect(toTargetError(error, 'writing')).toMatchObject({ code: 'TARGET_LOST', cause: error });
  });

  it('that the server sent is judged by its number', () => {
    expect(isLost(new MongoServerError({ code: 11600, message: 'interrupted at shutdown' }))).toBe(true);
    expect(isLost(new MongoServerError({ code: 2, message: 'bad value' }))).toBe(false);
  });

  it('of our own making is none of these', () => {
    expect(isLost(new TypeError('x is undefined'))).toBe(false);
  });
});
