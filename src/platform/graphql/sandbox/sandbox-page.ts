import { readFile } from 'node:fs/promises';
import type { RequestHandler } from 'express';

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const files: Readonly<Record<string, { readonly name: string; readonly type: string }>> = {
  '/': { name: 'sandbox.html', type: 'text/html; charset=utf-8' },
  '/sandbox.css': { name: 'sandbox.css', type: 'text/css; charset=utf-8' },
  '/sandbox.js': { name: 'sandbox.js', type: 'text/javascript; charset=utf-8' },
};

/**
 * The page that a browser gets at `/graphql`: logs a person in and runs operations and subscriptions. It is a page of our own because Apollo's and Nest's
 * load their scripts from the internet.
 */
export function sandboxPage(): RequestHandler {
  return (request, response, next) => {
    const file = files[request.path];
    const isWanted = file !== undefined && request.method === 'GET' && !(request.path === '/' && (!request.accepts('html') || 'query' in request.query));
    if (!isWanted) return next();
    readFile(new URL(`./${file.name}`, import.meta.url)).then((content) => {
      response.set({ 'content-type': file.type, 'content-security-policy': policy, 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' });
      response.send(content);
    }, next);
  };
}
