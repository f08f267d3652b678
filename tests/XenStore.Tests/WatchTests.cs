using Xunit;

namespace Ryokan.XenStore.Tests;

public sealed class WatchTests
{
    private readonly Store _store = new();
    private readonly Events _events = new();
    private readonly StoreConnection _root;
    private readonly StoreConnection _guest;

    public WatchTests()
    {
        _root = _store.Connect(0);
        _guest = _store.Connect(5, _events);
        _root.Put("/local/domain/5/data", "");
        _root.Allow("/local/domain/5", "n0,r5");
        _root.Allow("/local/domain/5/data", "n5");
    }

    [Fact]
    public void A_watch_fires_at_once_even_for_what_does_not_exist()
    {
        Assert.Equal(StoreError.None, _guest.AddWatch("/no/such", "t1"));
        Assert.Equal(StoreError.None, _guest.AddWatch("data/none", "t2"));
        Assert.Equal(["/no/such t1", "data/none t2"], _events.Take());
    }

    [Fact]
    public void A_watch_sees_the_node_and_all_below_in_its_own_terms()
    {
        _guest.AddWatch("data", "rel");
        _guest.AddWatch("/local/domain/5/data", "abs");
        _events.Take();
        _root.Put("/local/domain/5/data/a/b", "1");
        Assert.Equal(["data/a/b rel", "/local/domain/5/data/a/b abs"], _events.Take());
        _root.Put("/local/domain/5/database", "1");
        Assert.Empty(_events.Take());
        _root.Allow("/local/domain/5/data/a", "r5");
        Assert.Equal(["data/a rel", "/local/domain/5/data/a abs"], _events.Take());
        _root.Mkdir(0, "/local/domain/5/data/a");
        Assert.Empty(_events.Take());
        _guest.AddWatch("/", "all");
        _events.Take();
        _guest.Put("data/z", "");
        Assert.Contains("/local/domain/5/data/z all", _events.Take());
    }

    [Fact]
    public void Removing_a_tree_fires_watches_set_inside_it()
    {
        _guest.Put("data/a/b/c", "1");
        _guest.AddWatch("data/a/b", "inside");
        _guest.AddWatch("data/a/x", "absent");
        _events.Take();
        _root.Remove(0, "/local/domain/5/data/a");
        Assert.Equal(["data/a/b inside"], _events.Take());
    }

    [Fact]
    public void A_watch_says_nothing_about_unreadable_nodes()
    {
        _guest.AddWatch("/secret", "s");
        _events.Take();
        _root.Put("/secret/x", "1");
        Assert.Equal(["/secret/x s"], _events.Take());
        _root.Allow("/secret", "n0");
        Assert.Equal(["/secret s"], _events.Take());
        _root.Allow("/secret/x", "n0");
        _events.Take();
        _root.Put("/secret/x", "2");
        _root.Put("/secret/y", "2");
        _root.Remove(0, "/secret/x");
        Assert.Empty(_events.Take());
    }

    [Fact]
    public void A_transaction_fires_when_it_takes_effect()
    {
        _guest.AddWatch("data", "t");
        _events.Take();
        uint t = _guest.Begin();
        _guest.Put("data/x", "1", t);
        _guest.Put("data/x", "2", t);
        _guest.Put("data/y", "1", t);
        Assert.Empty(_events.Take());
        _guest.EndTransaction(t, commit: true);
        Assert.Equal(["data/x t", "data/y t"], _events.Take());
        t = _guest.Begin();
        _guest.Put("data/x", "3", t);
        _guest.EndTransaction(t, commit: false);
        Assert.Empty(_events.Take());
    }

    [Fact]
    public void Watches_are_told_apart_by_path_and_token()
    {
        Assert.Equal(StoreError.None, _guest.AddWatch("data", "t"));
        Assert.Equal(StoreError.EEXIST, _guest.AddWatch("data", "t"));
        Assert.Equal(StoreError.None, _guest.AddWatch("data", "u"));
        Assert.Equal(StoreError.ENOENT, _guest.RemoveWatch("data", "x"));
        Assert.Equal(StoreError.None, _guest.RemoveWatch("data", "t"));
        _events.Take();
        _guest.Put("data/x", "");
        Assert.Equal(["data/x u"], _events.Take());
        Assert.Equal(StoreError.EINVAL, _guest.AddWatch("/bad/", "t"));
        Assert.Equal(StoreError.EINVAL, _guest.AddWatch("@other", "t"));
        _guest.ResetWatches();
        _guest.Put("data/x", "");
        Assert.Empty(_events.Take());
        Assert.Empty(_guest.ListWatches());
    }

    [Fact]
    public void A_guest_can_set_only_so_many()
    {
        int set = 0;
        while (set < 1000 && _guest.AddWatch("data", set.ToString()) == StoreError.None)
        {
            set++;
        }
        Assert.Equal(128, set);
        Assert.Equal(StoreError.ENOSPC, _guest.AddWatch("data", "more"));
    }

    [Fact]
    public void Domain_0_learns_of_domains_that_come_and_go()
    {
        Events events = new();
        StoreConnection root = _store.Connect(0, events);
        root.AddWatch("@introduceDomain", "in");
        root.AddWatch("@releaseDomain", "out");
        _guest.AddWatch("@introduceDomain", "guest");
        events.Take();
        _events.Take();
        Assert.True(_store.IntroduceDomain(9));
        Assert.False(_store.IntroduceDomain(9));
        Assert.True(_store.IsIntroduced(9));
        Assert.True(_store.ReleaseDomain(9));
        Assert.Equal(["@introduceDomain in", "@releaseDomain out"], events.Take());
        Assert.Empty(_events.Take());
    }

    [Fact]
    public void A_connection_that_ended_hears_nothing()
    {
        _guest.AddWatch("data", "t");
        _events.Take();
        _guest.Dispose();
        _root.Put("/local/domain/5/data/x", "1");
        Assert.Empty(_events.Take());
    }
}
