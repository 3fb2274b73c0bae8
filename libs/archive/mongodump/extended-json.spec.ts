import { describe, expect, it } from '@jest/globals';
import { Binary, BSONRegExp, BSONSymbol, Code, DBRef, Decimal128, Double, EJSON, Int32, Long, MaxKey, MinKey, ObjectId, serialize, Timestamp } from 'bson';
import { bsonToExtendedJson } from './bson-to-extended-json.js';
import { extendedJsonToBson } from './extended-json-to-bson.js';

const everyType = {
  double: new Double(1.5),
  integral: new Double(3),
  minusZero: new Double(-0),
  nan: new Double(NaN),
  infinity: new Double(-Infinity),
  huge: new Double(1e300),
  string: 'zwölf "quoted" \u2028 \\ \n',
  document: { a: { b: [1, 'two', null, { c: true }] } },
  emptyDocument: {},
  emptyArray: [],
  binary: new Binary(Buffer.from([1, 2, 3]), 0),
  oldBinary: new Binary(Buffer.from([1, 2, 3]), 2),
  uuid: new Binary(Buffer.alloc(16, 7), 4),
  objectId: new ObjectId('65a1b2c3d4e5f60718293a4b'),
  yes: true,
  no: false,
  date: new Date(1_700_000_000_123),
  dateBefore1970: new Date(-12_345),
  nothing: null,
  regex: new BSONRegExp('^a.*"b"', 'imx'),
  code: new Code('function () { return 1; }'),
  codeWithScope: new Code('return x', { x: 1 }),
  symbol: new BSONSymbol('sym'),
  int32: new Int32(-7),
  timestamp: new Timestamp({ t: 4_294_967_295, i: 3 }),
  zeroTimestamp: new Timestamp({ t: 0, i: 0 }),
  int64: Long.fromString('-9223372036854775808'),
  decimal: Decimal128.fromString('1.2300E+20'),
  decimalNan: Decimal128.fromString('NaN'),
  minKey: new MinKey(),
  maxKey: new MaxKey(),
  reference: new DBRef('orders', new ObjectId('65a1b2c3d4e5f60718293a4b')),
  '': 'empty name',
  'dotted.name': 1,
  $dollar: 'first',
};

describe('Extended JSON', () => {
  it('carries every BSON type there and back, byte for byte', () => {
    const bson = Buffer.from(serialize(everyType));
    const json = bsonToExtendedJson(bson);
    expect(extendedJsonToBson(json).equals(bson)).toBe(true);
  });

  it('writes what the bson package calls canonical', () => {
    const { decimalNan, huge, ...rest } = everyType;
    const bson = Buffer.from(serialize(rest));
    expect(JSON.parse(bsonToExtendedJson(bson))).toEqual(JSON.parse(EJSON.stringify(rest, { relaxed: false })));
    expect([decimalNan.toString(), huge.value]).toEqual(['NaN', 1e300]);
  });

  it('keeps integer-like keys in their order, and duplicate ones', () => {
    const text = '{"b":{"$numberInt":"1"},"10":{"$numberInt":"-1"},"9":"text","2":{"z":true,"1":false}}';
    expect(bsonToExtendedJson(extendedJsonToBson(text))).toBe(text);
    const twice = '{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"}}';
    expect(bsonToExtendedJson(extendedJsonToBson(twice))).toBe(twice);
  });

  it.each([
    ['{"v":2}', '{"v":{"$numberInt":"2"}}'],
    ['{"v":2.0}', '{"v":{"$numberDouble":"2.0"}}'],
    ['{"v":-0}', '{"v":{"$numberDouble":"-0.0"}}'],
    ['{"v":3000000000}', '{"v":{"$numberLong":"3000000000"}}'],
    ['{"v":1e3}', '{"v":{"$numberDouble":"1000.0"}}'],
    ['{"v":[{"$numberDouble":"1."},{"$numberDouble":".5"},{"$numberDouble":"-1.5e-3"},{"$numberLong":"-00012"}]}', '{"v":[{"$numberDouble":"1.0"},{"$numberDouble":"0.5"},{"$numberDouble":"-0.0015"},{"$numberLong":"-12"}]}'],
    ['{"d":{"$date":"2026-01-02T03:04:05Z"}}', '{"d":{"$date":{"$numberLong":"1767323045000"}}}'],
    ['{"b":{"$binary":"AQID","$type":"00"}}', '{"b":{"$binary":{"base64":"AQID","subType":"00"}}}'],
    [' { "a" : [ 1 , { } ] } ', '{"a":[{"$numberInt":"1"},{}]}'],
  ])('reads relaxed text %s', (relaxed, canonical) => {
    expect(bsonToExtendedJson(extendedJsonToBson(relaxed))).toBe(canonical);
  });

  it.each(['{"a":{"$gt":{"$numberInt":"1"}}}', '{"$match":{"name":{"$regex":"^a","$options":"i"}}}', '{"$date":{"$add":["$a",{"$numberInt":"1"}]}}', '{"$code":{"$numberInt":"1"}}'])(
    'leaves operators alone: %s',
    (text) => {
      expect(bsonToExtendedJson(extendedJsonToBson(text))).toBe(text);
    },
  );

  it.each([
    '', '[]', '1', '{', '{"a"}', '{"a":}', '{"a":1,}', '{"a":1}x', '{a:1}', '{"a":01}', '{"a":"\\x"}', '{"a":"b', '{"a\u0000":1}', '{"a":{"$numberInt":"2147483648"}}',
    '{"a":{"$numberLong":"9223372036854775808"}}', '{"a":{"$numberDouble":"x"}}', '{"a":{"$numberDecimal":"x"}}', '{"a":{"$oid":"12"}}', '{"a":{"$timestamp":{"t":-1,"i":0}}}',
    '{"a":{"$binary":{"base64":"%%","subType":"00"}}}', '{"a\\u0000b":1}', '{"a":"\n"}', `{"a":${'['.repeat(300)}${']'.repeat(300)}}`,
  ])('refuses %j', (text) => {
    expect(() => extendedJsonToBson(text)).toThrow(expect.objectContaining({ code: 'ARCHIVE_CORRUPT' }));
  });

  it.each([
    ['$numberDouble', 100_000, 'x'],
    ['$numberLong', 1_000_000, ''],
    ['$numberDecimal', 100_000, 'x'],
  ])('refuses a %s of %i digits before others have to wait, in a short message', (type, digits, end) => {
    const text = `{"a":{"${type}":"${'1'.repeat(digits)}${end}"}}`;
    const began = performance.now();
    expect(() => extendedJsonToBson(text)).toThrow(expect.objectContaining({ code: 'ARCHIVE_CORRUPT', message: expect.stringMatching(/^.{1,200}$/) }));
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('reads a number of millions of digits as the double that it is, before others have to wait', () => {
    const began = performance.now();
    expect(bsonToExtendedJson(extendedJsonToBson(`{"a":${'1'.repeat(16_000_000)}}`))).toBe('{"a":{"$numberDouble":"Infinity"}}');
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});
