import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { ErrorFormatter } from './error-formatter.js';
import { ExceptionToAnswerFilter } from './exception.filter.js';
import { InputValidationPipe } from './input-validation.pipe.js';
import { NodeRegistry } from './node-registry.js';
import { UserErrorInterceptor } from './user-error.interceptor.js';

/** What resolvers and routes lean on in every role; the server itself is `GraphqlServerModule`. */
@Global()
@Module({
  providers: [
    ErrorFormatter,
    NodeRegistry,
    { provide: APP_FILTER, useClass: ExceptionToAnswerFilter },
    { provide: APP_INTERCEPTOR, useClass: UserErrorInterceptor },
    { provide: APP_PIPE, useClass: InputValidationPipe },
  ],
  exports: [ErrorFormatter, NodeRegistry],
})
export class GraphqlSupportModule {}
