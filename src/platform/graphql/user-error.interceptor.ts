import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import { type GraphQLResolveInfo, OperationTypeNode } from 'graphql';
import { catchError, map, type Observable, of, throwError } from 'rxjs';
import { AppError } from '#errors';
import { isForUser, toUserError } from './user-error.model.js';

/** Turns what a mutation throws and a person can mend into the payload's `userErrors`, the entity being null. */
@Injectable()
export class UserErrorInterceptor implements NestInterceptor<unknown, unknown> {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    if (context.getType<string>() !== 'graphql') return next.handle();
    const info = GqlExecutionContext.create(context).getInfo<GraphQLResolveInfo>();
    if (info.operation.operation !== OperationTypeNode.MUTATION) return next.handle();
    return next.handle().pipe(
      map((payload) => ({ userErrors: [], ...(typeof payload === 'object' ? payload : {}) })),
      catchError((error: unknown) =>
        error instanceof AppError && isForUser(error.code) ? of({ userErrors: [toUserError(error)] }) : throwError(() => error),
      ),
    );
  }
}
