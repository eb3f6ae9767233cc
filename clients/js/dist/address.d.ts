/** Reads an address: `ws`, `wss`, `http` or `https`, in a page also relative to it; without a path it means `/ws`. */
export declare function address(url: unknown): string;
