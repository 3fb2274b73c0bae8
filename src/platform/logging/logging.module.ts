import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { type DestinationStream, destination as openDestination } from 'pino';
import type { Options } from 'pino-http';
import { redact } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { logFields } from '../telemetry/log-context.js';
import { redactFields } from './redact-fields.js';

/** Logs as JSON lines. Nest's `Logger` writes here: `logger.warn({ msg, tenantId, operationId, err })`. */
@Module({})
export class LoggingModule {
  /** @param stream where the lines go; standard output by default */
  static forRoot(stream?: DestinationStream): DynamicModule {
    return {
      module: LoggingModule,
      imports: [
        LoggerModule.forRootAsync({
          inject: [AppConfig],
          useFactory: (config: AppConfig) => ({ pinoHttp: [optionsOf(config), stream ?? openDestination(1)] }),
        }),
      ],
    };
  }
}

function optionsOf(config: AppConfig): Options {
  return {
    level: config.logLevel,
    base: { role: config.role },
    autoLogging: false,
    quietReqLogger: true,
    mixin: () => ({ ...logFields() }),
    // Wrapped, it would get errors with everything that drivers hang on them.
    wrapSerializers: false,
    serializers: { err: (error: unknown) => redactFields(error) },
    formatters: {
      level: (label) => ({ level: label }),
      log: ({ req: _request, ...fields }) => redactFields(fields) as Record<string, unknown>,
    },
    hooks: {
      logMethod(args, method) {
        method.apply(this, args.map((arg: unknown) => (typeof arg === 'string' ? redact(arg) : arg)) as Parameters<typeof method>);
      },
    },
  };
}
