import { defaultFieldResolver, type DocumentNode, execute, type ExecutionArgs, type ExecutionResult, getNamedType, type GraphQLSchema, isAbstractType, isObjectType, TypeInfo, visit, visitWithTypeInfo } from 'graphql';

/**
 * Answers to subscribers who ask the same of the same payload: each is made once. Only for documents that give everybody the same; who may have a payload at all is asked before, of each subscriber.
 */
export class SharedAnswers {
  private readonly known = new WeakMap<object, Map<DocumentNode, Map<string, Promise<ExecutionResult>>>>();

  /** @param question the operation's name and the variables */
  of(payload: object, args: ExecutionArgs, question: string): Promise<ExecutionResult> {
    const ofPayload = this.known.get(payload) ?? new Map<DocumentNode, Map<string, Promise<ExecutionResult>>>();
    this.known.set(payload, ofPayload);
    const ofDocument = ofPayload.get(args.document) ?? new Map<string, Promise<ExecutionResult>>();
    ofPayload.set(args.document, ofDocument);
    const known = ofDocument.get(question);
    if (known !== undefined) return known;
    const answer = Promise.resolve(execute({ ...args, rootValue: payload }));
    ofDocument.set(question, answer);
    return answer;
  }
}

/** Whether all fields below those of the subscription itself are plain properties: where one has a resolver, it may look at who asks. */
export function givesAllTheSame(schema: GraphQLSchema, document: DocumentNode): boolean {
  const types = new TypeInfo(schema);
  let same = true;
  visit(
    document,
    visitWithTypeInfo(types, {
      Field: (node) => {
        const parent = getNamedType(types.getParentType());
        if (parent == null || parent === schema.getSubscriptionType()) return;
        const owners = isAbstractType(parent) ? schema.getPossibleTypes(parent) : [parent];
        for (const owner of owners) {
          const field = isObjectType(owner) ? owner.getFields()[node.name.value] : undefined;
          if (field?.resolve !== undefined && field.resolve !== defaultFieldResolver) same = false;
        }
      },
    }),
  );
  return same;
}
