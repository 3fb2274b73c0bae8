import type { GqlModuleOptions } from '@nestjs/graphql';
import { isIntrospectionType, isObjectType } from 'graphql';

/**
 * Nest gives each field a resolver, also where it is a property and nothing more, so that nobody who looks at the schema can tell them apart (`SharedAnswers` must). Here a field for which nobody wrote a
 * resolver has none. Nest transforms the resolvers first, then the schema.
 */
export function plainFields(): Required<Pick<GqlModuleOptions, 'transformResolvers' | 'transformSchema'>> {
  const written = new Set<string>();
  return {
    transformResolvers: (resolvers) => {
      for (const each of [resolvers].flat()) for (const [type, fields] of Object.entries(each)) for (const field of Object.keys(fields)) written.add(`${type}.${field}`);
      return resolvers;
    },
    transformSchema: (schema) => {
      for (const type of Object.values(schema.getTypeMap())) {
        // Those of introspection are the same objects in every schema.
        if (!isObjectType(type) || isIntrospectionType(type)) continue;
        const owners = [type, ...type.getInterfaces()];
        for (const field of Object.values(type.getFields())) {
          if (!owners.some(({ name }) => written.has(`${name}.${field.name}`))) delete field.resolve;
        }
      }
      return schema;
    },
  };
}
