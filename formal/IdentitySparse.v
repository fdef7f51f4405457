(* Identity I2, for every law: a sample x whose code z is active at a_1 < ... < a_s has, with
   w_{a_0} = 1 and w_{a_{s+1}} = 0,

     L_ND = sum_{t=0..s} (w_{a_t} - w_{a_{t+1}}) ||x - sum_{u<=t} z_{a_u} d_{a_u}||^2.

   Here a u is a_{u+1}, so a 0, ..., a (s-1) are the active indices, and weight K p a s t is
   w_{a_t}. Entries of z at active indices may be 0. *)
From Coq Require Import Reals Lra Lia.
From OSAE Require Import Sums Losses.
Open Scope R_scope.

Definition weight (K : nat) (p : vec) (a : nat -> nat) (s t : nat) : R :=
  match t with O => 1 | S u => if (u <? s)%nat then survival K p (a u) else 0 end.
Definition active_residual (D : mat) (x z : vec) (a : nat -> nat) (t : nat) : vec :=
  fun i => x i - sum t (fun u => z (a u) * D i (a u)).
Definition sparse_form (d K : nat) (p : vec) (D : mat) (x z : vec) (a : nat -> nat) (s : nat) : R :=
  sum (S s) (fun t => (weight K p a s t - weight K p a s (S t))
                      * norm2 d (active_residual D x z a t)).

(* a_1 < ... < a_s, all among 1..K. *)
Definition increasing (K : nat) (a : nat -> nat) (s : nat) : Prop :=
  (forall u v, (u < v < s)%nat -> (a u < a v)%nat) /\ forall u, (u < s)%nat -> (a u < K)%nat.
Definition active_only (K : nat) (z : vec) (a : nat -> nat) (s : nat) : Prop :=
  forall j, (j < K)%nat -> (forall u, (u < s)%nat -> j <> a u) -> z j = 0.

(* A sum with terms at increasing indices only. *)
Lemma sum_active n a s f :
  increasing n a s -> (forall j, (j < n)%nat -> (forall u, (u < s)%nat -> j <> a u) -> f j = 0) ->
  sum n f = sum s (fun u => f (a u)).
Proof.
  revert f. induction s as [|s IH]; intros f [I B] Z; simpl.
  - apply sum_zero; intros. apply Z; auto. intros; lia.
  - rewrite (sum_ext n f (fun j => (if (j =? a s)%nat then 0 else f j)
      + (if (j =? a s)%nat then f j else 0))) by (intros; destruct (_ =? _)%nat; ring).
    rewrite sum_plus. f_equal.
    + rewrite IH.
      * apply sum_ext; intros u Hu. pose proof (I u s ltac:(lia)).
        destruct (Nat.eqb_spec (a u) (a s)); [lia|auto].
      * split; intros; [apply I|apply B]; lia.
      * intros j Hj H. destruct (Nat.eqb_spec j (a s)); auto. apply Z; auto.
        intros u Hu. destruct (Nat.eq_dec u s) as [->|]; auto. apply H; lia.
    + rewrite (sum_single n (a s)), Nat.eqb_refl; auto.
      intros j _ N. now apply Nat.eqb_neq in N as ->.
Qed.

(* From the last active index on, every prefix has the same residual. *)
Lemma residual_past_active K D x z a s k :
  increasing K a s -> active_only K z a s -> (k < K)%nat ->
  (forall u, (u < s)%nat -> (a u <= k)%nat) ->
  forall i, residual D (S k) x z i = active_residual D x z a s i.
Proof.
  intros [I B] Z Hk H i. unfold residual, active_residual. f_equal.
  rewrite (sum_active (S k) a s).
  - apply sum_ext; intros; ring.
  - split; auto. intros u Hu. pose proof (H u Hu). lia.
  - intros j Hj N. rewrite (Z j); auto; [ring|lia].
Qed.

Lemma norm2_ext d x y : (forall i, (i < d)%nat -> x i = y i) -> norm2 d x = norm2 d y.
Proof. intros H. apply sum_ext; intros. now rewrite H. Qed.

Lemma weight_of_fewer K p a s t : (t <= s)%nat -> weight K p a s t = weight K p a (S s) t.
Proof.
  intros H. destruct t as [|u]; auto. unfold weight.
  now rewrite !(proj2 (Nat.ltb_lt _ _)) by lia.
Qed.

Theorem sample_loss_in_sparse_form d K p D x z a s :
  sum K p = 1 -> increasing K a s -> active_only K z a s ->
  sample_loss d K p D x z = sparse_form d K p D x z a s.
Proof.
  intros P. revert z. induction s as [|s IH]; intros z I Z.
  - unfold sparse_form, sample_loss; simpl.
    rewrite (sum_ext K _ (fun k => p k * norm2 d (active_residual D x z a 0))).
    + rewrite sum_scal_r, P. ring.
    + intros k Hk. f_equal. apply norm2_ext; intros i _.
      apply (residual_past_active K); auto; intros; lia.
  - assert (I' : increasing K a s) by (destruct I as [I B]; split; intros; [apply I|apply B]; lia).
    destruct I as [I B].
    set (z' := fun j => if (j =? a s)%nat then 0 else z j).
    assert (Z' : active_only K z' a s). {
      intros j Hj H. unfold z'. destruct (Nat.eqb_spec j (a s)); auto. apply Z; auto.
      intros u Hu. destruct (Nat.eq_dec u s) as [->|]; auto. apply H; lia. }
    assert (R : forall t, (t <= s)%nat ->
      norm2 d (active_residual D x z' a t) = norm2 d (active_residual D x z a t)). {
      intros t Ht. apply norm2_ext; intros i _. unfold active_residual. f_equal.
      apply sum_ext; intros u Hu. unfold z'. pose proof (I u s ltac:(lia)).
      destruct (Nat.eqb_spec (a u) (a s)); [lia|auto]. }
    transitivity (sample_loss d K p D x z' + survival K p (a s)
      * (norm2 d (active_residual D x z a (S s)) - norm2 d (active_residual D x z a s))).
    + unfold sample_loss, survival. rewrite <- sum_scal_r, <- sum_plus.
      apply sum_ext; intros k Hk. destruct (Nat.leb_spec (a s) k) as [L|L].
      * assert (Past : forall u, (u < S s)%nat -> (a u <= k)%nat). {
          intros u Hu. destruct (Nat.eq_dec u s) as [->|]; auto.
          pose proof (I u s ltac:(lia)). lia. }
        rewrite (norm2_ext d _ (active_residual D x z a (S s)))
          by (intros; apply (residual_past_active K); auto; split; auto).
        rewrite (norm2_ext d (residual D (S k) x z') (active_residual D x z' a s))
          by (intros; apply (residual_past_active K); auto).
        rewrite (R s) by lia. ring.
      * rewrite (norm2_ext d (residual D (S k) x z) (residual D (S k) x z')); [ring|].
        intros i _. unfold residual. f_equal. apply sum_ext; intros j Hj. unfold z'.
        destruct (Nat.eqb_spec j (a s)); [lia|auto].
    + rewrite (IH z' I' Z'). unfold sparse_form.
      change (sum (S (S s)) ?f) with (sum s f + f s + f (S s)).
      change (sum (S s) ?f) with (sum s f + f s). cbv beta.
      rewrite (sum_ext s _ (fun t => (weight K p a (S s) t - weight K p a (S s) (S t))
        * norm2 d (active_residual D x z a t)))
        by (intros; rewrite R, !(weight_of_fewer K p a s) by lia; reflexivity).
      rewrite R, (weight_of_fewer K p a s s) by lia.
      replace (weight K p a s (S s)) with 0 by (unfold weight; now rewrite Nat.ltb_irrefl).
      replace (weight K p a (S s) (S (S s))) with 0
        by (unfold weight; now rewrite Nat.ltb_irrefl).
      replace (weight K p a (S s) (S s)) with (survival K p (a s))
        by (unfold weight; now rewrite (proj2 (Nat.ltb_lt s (S s))) by lia).
      ring.
Qed.
