export type * from './port.js';
export { MongodbEngine } from './mongodb/mongodb-engine.js';
export { requireRestorable } from './mongodb/staged-names.js';
