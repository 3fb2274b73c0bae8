export type * from './port.js';
export { BytePace } from './byte-pace.js';
export { MongodbEngine } from './mongodb/mongodb-engine.js';
export { requireRestorable } from './mongodb/staged-names.js';
