declare const htm: { bind(h: unknown): (strings: TemplateStringsArray, ...values: unknown[]) => Element };
export interface Element { readonly __element: unique symbol }
export default htm;
