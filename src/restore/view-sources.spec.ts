import { describe, expect, it } from '@jest/globals';
import { circularViews, viewSources } from './view-sources.js';

describe('the collections that a view reads', () => {
  it('are what it is on and what its pipeline joins, however deep', () => {
    const pipeline = [{ $lookup: { from: 'b', pipeline: [{ $unionWith: 'c' }] } }, { $facet: { x: [{ $graphLookup: { from: 'd' } }, { $unionWith: { coll: 'e' } }] } }];
    expect(viewSources(JSON.stringify({ viewOn: 'a', pipeline }))).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('views that read each other in a circle', () => {
  it.each<[string, Record<string, string[]>, string[]]>([
    ['none where each ends at collections', { v: ['a'], w: ['v', 'a'], x: ['w', 'v'] }, []],
    ['both of two', { v: ['w'], w: ['v'] }, ['v', 'w']],
    ['itself', { v: ['a', 'v'] }, ['v']],
    ['whoever reads them, and nobody whom they read', { v: ['w'], w: ['x'], x: ['v', 'z'], y: ['v'], z: ['a'] }, ['v', 'w', 'x', 'y']],
  ])('are %s', (_, reads, circular) => {
    expect(circularViews(new Map(Object.entries(reads)))).toEqual(circular);
  });
});
