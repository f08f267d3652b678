using Xunit;

// The oracle and the engines are shared by all tests, and two of them at once would only take each other's CPU.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
