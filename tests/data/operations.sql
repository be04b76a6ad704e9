-- What the connector's snapshot saw, with decimal.handling.mode=string, skipped.operations=none,
-- provide.transaction.metadata=true, heartbeat.interval.ms and converters with
-- replace.null.with.default=false. The messages are "topic <tab> key <tab> value", a null as null;
-- all but one heartbeat and one transaction's BEGIN and END are left out.
create table users(id int primary key, name text not null, email text, balance numeric(10,2), created_at timestamp, updated_at timestamptz);
create table pairs(a int, b text, v text, primary key(a,b));
create table keyless(a int);
create table notes(id int primary key, body text, seen int);
alter table notes alter body set storage external;
create table fullrow(id int primary key, v text); alter table fullrow replica identity full;
insert into users values(1,'Ann "A" \ Ü','ann@x.org',10.50,'2024-01-02 03:04:05.678','2024-06-01 12:00:00.123456+02'),(2,'Bob',null,null,null,null);
insert into fullrow values(1,'x');

-- What it streamed.
insert into users values(3,'Cy','c@x.org',-0.05,'1969-12-31 23:59:59.5','1969-12-31 23:59:59.5+00');
update users set name='Bobby' where id=2;
update users set id=20 where id=2;
delete from users where id=3;
insert into pairs values(1,'x:y','1'),(2,'','2');
delete from pairs where b='';
insert into notes values(1,repeat('x',2100),1);
update notes set seen=2;
insert into keyless values(1);
update fullrow set v='b' where id=1; delete from fullrow where id=1;
truncate pairs;
select pg_logical_emit_message(true,'greeting','hello');
alter table users add column extra int;
insert into users(id,name,extra) values(4,'Dee', 7);
