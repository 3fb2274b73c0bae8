import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const folder = resolve(import.meta.dirname, '../fixtures');

/** A binary fixture, stored as base64 text: `binaryFixture('mongodump/every-shape.archive.gz')`. */
export function binaryFixture(name: string): Buffer {
  return Buffer.from(readFileSync(`${folder}/${name}.base64`, 'latin1'), 'base64');
}

/** A JSON fixture: `jsonFixture<Shape>('dbk1/every-shape.json')`. */
export function jsonFixture<T>(name: string): T {
  return JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as T;
}
