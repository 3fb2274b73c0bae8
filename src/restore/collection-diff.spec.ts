import { describe, expect, it } from '@jest/globals';
import { expiringOf, diffCollections, type NamespaceShape } from './collection-diff.js';

const shape = (name: string, patch: Partial<NamespaceShape> = {}): NamespaceShape => ({
  name, kind: 'collection', documents: 10, bytes: 1000, indexCount: 1, options: '{}',
  indexes: ['{"v":{"$numberInt":"2"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}'], ...patch,
});

describe('diffCollections', () => {
  it('tells what the restore adds, removes, changes and leaves', () => {
    const live = [shape('gone'), shape('same'), shape('grown', { documents: 11 })];
    const archive = [shape('new'), shape('same'), shape('grown')];
    expect(diffCollections(live, archive).map((row) => [row.name, row.change])).toEqual([
      ['gone', 'MISSING'], ['grown', 'CHANGED'], ['new', 'ADDED'], ['same', 'SAME'],
    ]);
  });

  it('names the indexes and options that differ', () => {
    const live = shape('a', { options: '{"capped":true,"size":{"$numberInt":"4096"}}', indexes: ['{"name":"x","key":{"a":1}}', '{"name":"y"}'] });
    const archive = shape('a', { options: '{"capped":true,"size":{"$numberInt":"8192"}}', indexes: ['{"name":"x","key":{"a":-1}}', '{"name":"z"}'] });
    expect(diffCollections([live], [archive])[0]).toMatchObject({ change: 'CHANGED', indexesChanged: ['x', 'y', 'z'], optionsChanged: ['size'] });
  });

  it('shows names that cannot be stored with the characters replaced', () => {
    const archive = shape('a', { options: '{"x\\u0000":1}', indexes: ['{"name":"n\\u0000"}', '{"name":"\\ud800"}'] });
    expect(diffCollections([shape('a', { indexes: [] })], [archive])[0]).toMatchObject({ indexesChanged: ['n\uFFFD', '\uFFFD'], optionsChanged: ['x\uFFFD'] });
  });

  it('takes relaxed and canonical numbers for the same', () => {
    const archive = shape('a', { indexes: ['{"v":2,"key":{"_id":1},"name":"_id_"}'] });
    expect(diffCollections([shape('a')], [archive])[0]).toMatchObject({ change: 'SAME', indexesChanged: [] });
  });

  it('reports no index change where the archive does not tell its indexes', () => {
    expect(diffCollections([shape('a')], [shape('a', { indexes: null, options: null })])[0]).toMatchObject({ change: 'SAME' });
  });
});

describe('expiringOf', () => {
  it('counts TTL indexes and time series that expire', () => {
    const ttl = shape('ttl', { indexes: ['{"name":"at_1","expireAfterSeconds":{"$numberInt":"60"}}'] });
    const series = shape('series', { kind: 'timeseries', options: '{"timeseries":{},"expireAfterSeconds":{"$numberLong":"60"}}' });
    expect(expiringOf([ttl, series, shape('plain')])).toEqual([ttl, series]);
  });
});
