export type * from './port.js';
export { MongodbEngine } from './mongodb/mongodb-engine.js';
