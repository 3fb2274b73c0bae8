import { describe, expect, it } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { QueryFailedError } from 'typeorm';
import { asAppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { ErrorFormatter } from './error-formatter.js';

const formatter = new ErrorFormatter(AppConfig.from({ DATABASE_URL: 'postgresql://db/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32).toString('base64') }));
const startingUp = new QueryFailedError('select 1', [], Object.assign(new Error('the database system is starting up'), { code: '57P03' }));

describe('an error that nobody foresaw', () => {
  it.each([
    ['thrown by a resolver', new GraphQLError('failed', { originalError: startingUp })],
    ['met while the token was looked up', asAppError(startingUp)],
  ])('is UNAVAILABLE while PostgreSQL starts up (%s)', (_, error) => {
    expect(formatter.format(error)).toMatchObject({ extensions: { code: 'UNAVAILABLE' } });
    expect(JSON.stringify(formatter.format(error))).not.toContain('starting up');
  });

  it('is INTERNAL with a trace id otherwise, and tells nothing of itself', () => {
    const answer = formatter.format(asAppError(new TypeError('secret detail')));
    expect(answer).toMatchObject({ extensions: { code: 'INTERNAL', traceId: expect.any(String) } });
    expect(JSON.stringify(answer)).not.toContain('secret detail');
  });
});
