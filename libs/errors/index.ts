export { AppError, asAppError, type AppErrorDetails } from './app-error.js';
export { errorCatalogue, type ErrorAudience, type ErrorCode, type ErrorEntry } from './catalogue.js';
export { redact } from './redact.js';
