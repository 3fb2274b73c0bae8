export { Crc64, DocumentSums, formatUint64, type Uint64 } from './crc64.js';
