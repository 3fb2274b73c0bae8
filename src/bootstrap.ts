import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Logger } from 'nestjs-pino';
import type { DestinationStream } from 'pino';
import { AppModule } from './app.module.js';
import type { AppConfig } from './config/app-config.js';
import { sandboxPage } from './platform/graphql/sandbox/sandbox-page.js';
import { InFlightRequests } from './platform/http/in-flight-requests.js';
import { traceRequests } from './platform/telemetry/request-trace.js';

/** More than any document of ours, and bounded: archives never pass through GraphQL. */
const maxBodyBytes = 1024 * 1024;

/** An upload sends gigabytes in one request; whoever sends nothing for seconds is cut off by the upload itself. */
const longestRequestMs = 60 * 60 * 1000;

/** The whole program, not yet listening; tests start the same one. */
export async function createApp(config: AppConfig, logStream?: DestinationStream): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(config, logStream), { bufferLogs: true, autoFlushLogs: false, abortOnError: false, bodyParser: false, forceCloseConnections: true });
  // What was logged before a failed start stays unsaid: the error that is thrown says it in one line.
  app.useLogger(app.get(Logger));
  app.flushLogs();
  app.use(traceRequests());
  app.use(app.get(InFlightRequests).count);
  app.useBodyParser('json', { limit: maxBodyBytes });
  app.set('trust proxy', [...config.trustedProxies]);
  app.getHttpServer().requestTimeout = longestRequestMs;
  app.disable('x-powered-by');
  if (config.runsApi && config.introspection) app.use('/graphql', sandboxPage());
  return app;
}
